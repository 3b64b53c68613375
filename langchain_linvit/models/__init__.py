"""Chat models for offline use, and how any chat model is prepared for sampling."""
