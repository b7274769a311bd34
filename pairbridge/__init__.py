"""pairbridge: make paired image data, and train image-to-image models on it."""
