"""What Holdfast does, without HTTP: one module for each noun."""
