"""A personalized LLM router: the same question goes to different LLMs for different users."""

from ._native import Candidate, Decision, Interaction, OpenError, Profile, RouteError, Score
from .personalized_router import PersonalizedRouter
from .router import BatchScores, Router
from .trainer import PersonalizedRouterTrainer

__all__ = [
    "BatchScores",
    "Candidate",
    "Decision",
    "Interaction",
    "OpenError",
    "PersonalizedRouter",
    "PersonalizedRouterTrainer",
    "Profile",
    "RouteError",
    "Router",
    "Score",
]
