"""What is learned: which frequencies are hidden, what is predicted, who teaches whom."""
