"""Environments: the contract and what implements it."""
