"""SIGMA as a plugin of RecBole: a sequence VAE whose prior is a mixture of the user's interests."""

from recbole_sigma import compat

compat.apply()
