"""What watches Holdfast: configuration of the tools, and the alert relay, which is our own."""
