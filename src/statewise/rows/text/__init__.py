"""Text to whole numbers and back: vocabularies, labels and tokenisers; no torch."""
