"""Tests of the visual Turing test."""
