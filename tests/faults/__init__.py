"""What happens when something goes wrong: killed processes, full disks, bad files."""
