"""Measuring the machine, and charlm on it against a plain textbook loop; above language."""
