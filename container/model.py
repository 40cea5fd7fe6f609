"""The trained recommender that `recommend.py` serves; `train.py` writes its file."""

import json
from pathlib import Path
from typing import Any

import numpy as np

LOWEST, HIGHEST = 0.5, 5.0  # stars

Json = dict[str, Any]


class ModelError(Exception):
    """The model file is missing, or train.py did not write it."""


class Recommender:
    """The trained model; U users, M movies, vectors of length R."""

    def __init__(self, path: Path) -> None:
        """Load `path`; raise ModelError."""
        try:
            with np.load(path, allow_pickle=False) as file:
                self.user_index = {int(uid): i for i, uid in enumerate(file["user_ids"])}
                self.user_mean = file["user_mean"]  # (U,) stars
                self.user_factors = file["user_factors"].astype(np.float32)  # (U, R)
                self.movie_ids = file["movie_ids"]  # (M,)
                self.movie_factors = file["movie_factors"].astype(np.float32)  # (M, R)
                self.popularity = file["popularity"]  # (M,) stars
                ends = np.cumsum(file["rated_counts"])
                self.rated = np.split(file["rated"], ends[:-1])  # U arrays of movie indices
                self.titles = json.loads(file["titles"].tobytes())  # M pairs of title and year
        except Exception as error:
            # NumPy and zipfile raise a dozen types of error for a damaged file.
            raise ModelError(f"cannot load {path}: {error!r}. Run train.py to create it") from error

    def recommend(self, uid: int, k: int) -> Json:
        """Return at most `k` movies that the user has not rated, best first.

        `score` is the expected rating in stars. For an unknown user it is a mean rating, weighted
        by the number of ratings.
        """
        user = self.user_index.get(uid)
        if user is None:
            scores = self.popularity.copy()
        else:
            scores = self.user_mean[user] + self.movie_factors @ self.user_factors[user]
            scores[self.rated[user]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:k]
        return {
            "success": True,
            "uid": uid,
            "cold_start": user is None,
            "recommendations": [
                self._describe(m, float(scores[m])) for m in best.tolist() if scores[m] > -np.inf
            ],
        }

    def _describe(self, movie: int, score: float) -> Json:
        title, year = self.titles[movie]
        return {
            "movie_id": int(self.movie_ids[movie]),
            "title": title,
            "year": year,
            "score": round(min(max(score, LOWEST), HIGHEST), 3),
        }
