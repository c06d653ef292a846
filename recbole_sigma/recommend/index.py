"""Old place of the approximate search."""

from recbole_sigma.deprecation import renamed

__getattr__ = renamed(
    __name__,
    {
        "ApproximateRecommender": "recbole_sigma.recommend.recommender:Recommender",
        "ProductIndex": "recbole_sigma.recommend.search:ProductIndex",
    },
)
