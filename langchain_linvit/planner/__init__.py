"""SLINVIT: a KL-regularised tree search over a chat model's proposals, as a LangGraph state machine."""
