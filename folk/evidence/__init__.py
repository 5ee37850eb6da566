"""What any study leaves behind, and what can be asked of it; needs no torch."""
