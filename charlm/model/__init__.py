"""Torch modules: embeddings, recurrent layers, heads. They know no files and no text."""
