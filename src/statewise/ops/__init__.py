"""Arithmetic: each operation as one plain reference and a fast form, held equal by a test."""
