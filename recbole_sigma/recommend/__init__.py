"""What a trained model is for: recommendations, and what it learnt about users and items."""

from recbole_sigma.recommend.interests import Category, Interest
from recbole_sigma.recommend.recommender import Explanation, Recommendation, Recommender, load

__all__ = ["Category", "Explanation", "Interest", "Recommendation", "Recommender", "load"]
