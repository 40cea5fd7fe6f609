"""Trains the sample recommender and writes it to one compact `.npz` file.

The model is a Gaussian process over users. The ratings of one movie by all users are one draw from
a normal distribution. Its mean is each user's average; its covariance says which users rate alike.
Expectation-maximisation learns the covariance from all movies at once. The prediction of a missing
rating is its posterior mean given the movie's ratings, so a movie with few ratings stays near the
average. `compress` reduces the model to one vector per user and per movie, for serving.

Sources: Tipping and Bishop 1999, "Probabilistic Principal Component Analysis", section 3.3 and
appendix B (EM, missing data); Lawrence and Urtasun 2009, "Non-linear Matrix Factorization with
Gaussian Processes" (the Gaussian process over ratings).
"""

import argparse
import csv
import gzip
import json
import os
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

# The matrices are small. On idle cores a second thread gains little; on busy cores the threads wait
# for each other (measured: 62 s instead of 14 s). NumPy reads this variable at its import.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ.get("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LOWEST, HIGHEST = 0.5, 5.0  # stars

# Chosen on splits 0 to 2. The README also shows splits that were not used for this choice.
NOISE = 0.3  # variance of one rating around the user's taste, stars squared
SHARED_VARIANCE = 0.3  # initial covariance of two users: movies differ in quality
OWN_VARIANCE = 1.0  # initial variance of one user's taste beside it
ITERATIONS = 25
RELAXATION = 4.0  # plain EM (1.0) needs four times the iterations for the same result
RANK = 32  # length of the vectors served; 128 gains 0.0005 stars

BIAS_SHRINKAGE = 3.0  # ratings' worth of zero residual in every bias, here and in the baseline
POPULARITY_SHRINKAGE = 50.0  # ratings' worth of the global mean in a movie's popularity score
MIN_RATINGS = 5  # a movie with fewer ratings is used for learning but not recommended


class DataError(Exception):
    """A data file is missing, damaged or contains an invalid value."""


@dataclass(frozen=True)
class Ratings:
    """N ratings; `users` and `movies` index into the sorted `user_ids` and `movie_ids`."""

    users: Ints  # (N,)
    movies: Ints  # (N,)
    stars: Floats  # (N,)
    user_ids: Ints  # (U,)
    movie_ids: Ints  # (M,)

    def subset(self, rows: Ints) -> "Ratings":
        """Return the ratings at `rows`, with the same users and movies."""
        return replace(
            self, users=self.users[rows], movies=self.movies[rows], stars=self.stars[rows]
        )


@dataclass(frozen=True)
class Movie:
    """Title and year of a movie; each may be unknown."""

    title: str | None
    year: int | None


@dataclass(frozen=True)
class Bias:
    """Rating = `mean` + `user[u]` + `movie[m]`, in stars."""

    mean: float
    user: Floats  # (U,)
    movie: Floats  # (M,)

    def predict(self, users: Ints, movies: Ints) -> Floats:
        """Stars for each pair, shape (N,)."""
        return self.mean + self.user[users] + self.movie[movies]


@dataclass(frozen=True)
class Model:
    """Rating = `user_mean[u]` + `user_factors[u]` @ `movie_factors[m]`, in stars."""

    user_mean: NDArray[np.float32]  # (U,)
    user_factors: NDArray[np.float16]  # (U, RANK)
    movie_factors: NDArray[np.float16]  # (M, RANK)

    def predict(self, users: Ints, movies: Ints) -> Floats:
        """Stars for each pair, shape (N,)."""
        left = self.user_factors[users].astype(np.float64)
        right = self.movie_factors[movies].astype(np.float64)
        predicted: Floats = self.user_mean[users] + (left * right).sum(axis=1)
        return predicted


def rows(path: Path, columns: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each record; raise DataError if the header is wrong."""
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            if next(reader, None) != columns:
                raise DataError(f"{path}: the header must be {','.join(columns)}")
            for cells in reader:
                if len(cells) != len(columns):
                    raise DataError(
                        f"{path}:{reader.line_num}: {len(cells)} cells, must be {len(columns)}"
                    )
                yield reader.line_num, cells
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: {error}") from error


def read_ratings(path: Path) -> Ratings:
    """Read `userId,movieId,rating,timestamp`; raise DataError."""
    users, movies, stars = [], [], []
    for line, (user, movie, rating, _) in rows(path, ["userId", "movieId", "rating", "timestamp"]):
        try:
            users.append(int(user))
            movies.append(int(movie))
            stars.append(float(rating))
        except ValueError as error:
            raise DataError(f"{path}:{line}: {error}") from error
        if not LOWEST <= stars[-1] <= HIGHEST:
            raise DataError(f"{path}:{line}: rating {rating} must be from {LOWEST} to {HIGHEST}")
    if len(set(zip(users, movies, strict=True))) != len(stars):
        raise DataError(f"{path}: a user rates the same movie twice")
    if len(stars) < 10:
        raise DataError(f"{path}: {len(stars)} ratings, must be at least 10")
    user_ids, user_index = np.unique(np.array(users), return_inverse=True)
    movie_ids, movie_index = np.unique(np.array(movies), return_inverse=True)
    return Ratings(user_index, movie_index, np.array(stars), user_ids, movie_ids)


def read_movies(path: Path) -> dict[int, Movie]:
    """Read `movieId,title,year,genres` by movie ID; raise DataError."""
    movies = {}
    for line, (movie_id, title, year, _) in rows(path, ["movieId", "title", "year", "genres"]):
        try:
            movies[int(movie_id)] = Movie(title.strip() or None, int(year) if year else None)
        except ValueError as error:
            raise DataError(f"{path}:{line}: {error}") from error
    return movies


def split(ratings: Ratings, seed: int) -> tuple[Ratings, Ratings]:
    """Return a random 90 % of the ratings for learning, and the other 10 %."""
    order = np.random.default_rng(seed).permutation(len(ratings.stars))
    held_out = len(order) // 10
    return ratings.subset(order[held_out:]), ratings.subset(order[:held_out])


def rmse(model: Bias | Model, ratings: Ratings) -> float:
    """Return the root mean squared error in stars; predictions are clipped to the scale."""
    predicted = np.clip(model.predict(ratings.users, ratings.movies), LOWEST, HIGHEST)
    return float(np.sqrt(np.mean((predicted - ratings.stars) ** 2)))


def fit_bias(ratings: Ratings) -> Bias:
    """Fit both biases by alternating least squares, shrunk towards zero."""
    users, movies = ratings.users, ratings.movies
    user_count = np.bincount(users, minlength=len(ratings.user_ids)) + BIAS_SHRINKAGE
    movie_count = np.bincount(movies, minlength=len(ratings.movie_ids)) + BIAS_SHRINKAGE
    mean = float(ratings.stars.mean())
    centred = ratings.stars - mean
    user_bias, movie_bias = np.zeros(len(user_count)), np.zeros(len(movie_count))
    for _ in range(20):
        movie_bias = np.bincount(movies, centred - user_bias[users], len(movie_count)) / movie_count
        user_bias = np.bincount(users, centred - movie_bias[movies], len(user_count)) / user_count
    return Bias(mean, user_bias, movie_bias)


def group_rows(ratings: Ratings) -> list[Ints]:
    """Return rows of `ratings` as matrices (movies, c), one per number c of ratings of a movie.

    Movies with the same number of ratings have linear systems of the same size, which NumPy solves
    at once.
    """
    by_movie = np.argsort(ratings.movies, kind="stable")
    counts = np.bincount(ratings.movies, minlength=len(ratings.movie_ids))
    starts = np.cumsum(counts) - counts
    return [
        by_movie[starts[counts == c][:, None] + np.arange(c)] for c in np.unique(counts) if c > 0
    ]


def explain(
    residuals: Floats, users: Ints, groups: list[Ints], covariance: Floats
) -> tuple[Floats, Floats]:
    """Compute the posterior of every movie given its ratings, with K = covariance + noise.

    Returns the weight K^-1 r of each rating, (N,), and the sum over movies of
    K^-1 r r^T K^-1 - K^-1, (U, U): the direction in which the covariance explains the ratings
    better, zero once EM has converged.
    """
    weights = np.empty_like(residuals)
    direction = np.zeros_like(covariance)
    for group in groups:
        left, right = users[group][:, :, None], users[group][:, None, :]
        inverse = np.linalg.inv(covariance[left, right] + NOISE * np.eye(group.shape[1]))
        weight = (inverse @ residuals[group][:, :, None])[:, :, 0]
        np.add.at(direction, (left, right), weight[:, :, None] * weight[:, None, :] - inverse)
        weights[group] = weight
    return weights, direction


def fit(ratings: Ratings) -> Model:
    """Learn user means and covariance by over-relaxed EM; deterministic."""
    users, bias, groups = ratings.users, fit_bias(ratings), group_rows(ratings)
    number_of_users, rated_movies = len(ratings.user_ids), sum(map(len, groups))
    user_count = np.bincount(users, minlength=number_of_users) + BIAS_SHRINKAGE
    mean = bias.mean + bias.user
    covariance = SHARED_VARIANCE + OWN_VARIANCE * np.eye(number_of_users)
    for _ in range(ITERATIONS):
        weights, direction = explain(ratings.stars - mean[users], users, groups, covariance)
        mean += np.bincount(users, NOISE * weights, number_of_users) / user_count
        # The EM update is C + C D C / movies. This form is equal to first order, and the covariance
        # stays positive definite for every length of the step.
        step = np.eye(number_of_users) + RELAXATION / 2 / rated_movies * (covariance @ direction)
        covariance = step @ covariance @ step.T
    weights, _ = explain(ratings.stars - mean[users], users, groups, covariance)
    return compress(ratings, mean, covariance, weights)


def compress(ratings: Ratings, mean: Floats, covariance: Floats, weights: Floats) -> Model:
    """Keep the RANK strongest directions of the covariance; a prediction is then a dot product."""
    values, vectors = np.linalg.eigh(covariance)
    user_factors = vectors[:, -RANK:] * np.sqrt(np.maximum(values[-RANK:], 0))
    movie_factors = np.zeros((len(ratings.movie_ids), user_factors.shape[1]))
    np.add.at(movie_factors, ratings.movies, weights[:, None] * user_factors[ratings.users])
    return Model(
        mean.astype(np.float32), user_factors.astype(np.float16), movie_factors.astype(np.float16)
    )


def write(path: Path, model: Model, ratings: Ratings, movies: dict[int, Movie]) -> None:
    """Write the file for recommend.py: movies with enough ratings, and the users who rated them."""
    counts = np.bincount(ratings.movies, minlength=len(ratings.movie_ids))
    sums = np.bincount(ratings.movies, ratings.stars, len(counts))
    prior = POPULARITY_SHRINKAGE
    popularity = (sums + prior * ratings.stars.mean()) / (counts + prior)
    kept = np.flatnonzero(counts >= MIN_RATINGS)
    new_index = np.full(len(counts), -1)
    new_index[kept] = np.arange(len(kept))
    listed = ratings.subset(np.flatnonzero(new_index[ratings.movies] >= 0))
    by_user = np.argsort(listed.users, kind="stable")
    about = [movies.get(int(movie_id), Movie(None, None)) for movie_id in ratings.movie_ids[kept]]
    titles = json.dumps([[movie.title, movie.year] for movie in about], ensure_ascii=False)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            user_ids=ratings.user_ids,
            user_mean=model.user_mean,
            user_factors=model.user_factors,
            movie_ids=ratings.movie_ids[kept],
            movie_factors=model.movie_factors[kept],
            popularity=popularity[kept].astype(np.float32),
            titles=np.frombuffer(titles.encode(), np.uint8),
            rated=new_index[listed.movies[by_user]].astype(np.int32),
            rated_counts=np.bincount(listed.users, minlength=len(ratings.user_ids)),
        )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Train the sample recommender.")
    parser.add_argument(
        "--data", type=Path, default=here / "data", help="the folder of the ratings"
    )
    parser.add_argument("--out", type=Path, default=here / "model.npz", help="the file to write")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the 90/10 split")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    try:
        ratings = read_ratings(options.data / "ratings.csv.gz")
        movies = read_movies(options.data / "movies.csv.gz")
        learned_from, held_out = split(ratings, options.seed)
        print(f"{len(ratings.stars)} ratings, split 90/10 with seed {options.seed}; RMSE in stars:")
        print(f"  bias-only baseline {rmse(fit_bias(learned_from), held_out):.4f}")
        print(f"  model              {rmse(fit(learned_from), held_out):.4f}", flush=True)
        write(options.out, fit(ratings), ratings, movies)
    except (DataError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    size = options.out.stat().st_size
    print(f"{options.out}: {size} bytes, {time.monotonic() - started:.1f} s in total")
    return 0


if __name__ == "__main__":
    sys.exit(main())
