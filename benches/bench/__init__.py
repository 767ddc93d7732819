"""What `benches/run` is made of: one file for each section, and what they share."""
