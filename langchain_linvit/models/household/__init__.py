"""An offline policy for ALFWorld's prompts: about what a small model does, at several noise levels."""

from langchain_linvit.models.household.mind import MINDS, Mind, NoiseLevel
from langchain_linvit.models.household.policy import HouseholdPolicy, household_model

__all__ = ["MINDS", "HouseholdPolicy", "Mind", "NoiseLevel", "household_model"]
