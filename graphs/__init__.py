"""What `langgraph dev` serves: entry points over the library, listed in `langgraph.json`."""
