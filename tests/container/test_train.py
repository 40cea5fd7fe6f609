"""train.py: quality of the model, reproducibility, and the errors for invalid data."""

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import train
from model import Recommender

from tests.container.conftest import Trained
from tests.container.service import CONTAINER

RATINGS_HEADER = "userId,movieId,rating,timestamp"
MOVIES_HEADER = "movieId,title,year,genres"


def write_data(folder: Path, ratings: list[str], movies: list[str]) -> list[str]:
    """Write both files and return the arguments that train on them."""
    folder.mkdir(exist_ok=True)
    for name, lines in (("ratings", ratings), ("movies", movies)):
        with gzip.open(folder / f"{name}.csv.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
    return ["--data", str(folder), "--out", str(folder / "model.npz")]


@pytest.fixture
def few_ratings() -> list[str]:
    """Eight users who each rate six of seven movies; movie 1 has no title."""
    generator = np.random.default_rng(0)
    return [RATINGS_HEADER] + [
        f"{user},{movie},{generator.integers(1, 11) / 2},0"
        for user in range(1, 9)
        for movie in range(1, 8)
        if movie != user % 7 + 1
    ]


@pytest.fixture
def few_movies() -> list[str]:
    """Seven movies; the first has no title and year, the second has no line."""
    return [MOVIES_HEADER, "1,,,Drama"] + [f"{n},Movie {n},200{n},Drama" for n in range(3, 8)]


def printed_rmse(output: str, name: str) -> float:
    match = re.search(rf"{name} +(\d\.\d+)", output)
    assert match, output
    return float(match[1])


def test_model_reaches_the_promised_rmse_and_beats_the_baseline(trained: Trained) -> None:
    model = printed_rmse(trained.output, "model")
    assert model <= 0.88
    assert model < printed_rmse(trained.output, "bias-only baseline")


def test_artifact_is_compact(trained: Trained) -> None:
    assert trained.model.stat().st_size < 2_000_000


def test_the_baseline_recovers_known_biases() -> None:
    users, movies = np.divmod(np.arange(2000), 40)
    stars = 3 + np.linspace(-1, 1, 50)[users] + np.linspace(-0.5, 0.5, 40)[movies]
    ratings = train.Ratings(users, movies, stars, np.arange(50), np.arange(40))
    assert train.rmse(train.fit_bias(ratings), ratings) < 0.06  # the cost of the shrinkage


def test_the_split_is_seeded_and_loses_no_rating() -> None:
    ratings = train.read_ratings(CONTAINER / "data" / "ratings.csv.gz")
    learned_from, held_out = train.split(ratings, 7)
    again, _ = train.split(ratings, 7)
    other, _ = train.split(ratings, 8)
    assert len(held_out.stars) == len(ratings.stars) // 10
    assert len(learned_from.stars) + len(held_out.stars) == len(ratings.stars)
    assert np.array_equal(learned_from.movies, again.movies)
    assert not np.array_equal(learned_from.movies, other.movies)


def test_same_seed_writes_the_same_bytes(
    tmp_path: Path, few_ratings: list[str], few_movies: list[str]
) -> None:
    written = []
    for name in ("first", "second"):
        assert train.main(write_data(tmp_path / name, few_ratings, few_movies)) == 0
        written.append((tmp_path / name / "model.npz").read_bytes())
    assert written[0] == written[1]


def test_movies_without_title_or_year_are_recommended(
    tmp_path: Path, few_ratings: list[str], few_movies: list[str]
) -> None:
    assert train.main(write_data(tmp_path, few_ratings, few_movies)) == 0
    answer = Recommender(tmp_path / "model.npz").recommend(uid=999, k=100)
    about = {movie["movie_id"]: movie for movie in answer["recommendations"]}
    assert sorted(about) == list(range(1, 8))
    for unknown in (1, 2):
        assert about[unknown]["title"] is None
        assert about[unknown]["year"] is None
    assert about[3]["title"] == "Movie 3"
    assert about[3]["year"] == 2003


def test_movies_with_too_few_ratings_are_not_recommended(
    tmp_path: Path, few_ratings: list[str], few_movies: list[str]
) -> None:
    obscure = [f"{user},8,5.0,0" for user in range(1, train.MIN_RATINGS)]
    assert train.main(write_data(tmp_path, few_ratings + obscure, few_movies)) == 0
    answer = Recommender(tmp_path / "model.npz").recommend(uid=999, k=100)
    assert 8 not in {movie["movie_id"] for movie in answer["recommendations"]}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["user,movie,stars,when"], "header"),
        ([], "header"),
        ([RATINGS_HEADER, "1,1,4.0"], ":2: 3 cells, must be 4"),
        ([RATINGS_HEADER, "1,one,4.0,0"], ":2: .*'one'"),
        ([RATINGS_HEADER, "1,1,4.0,0", "1,2,5.5,0"], ":3: rating 5.5"),
        ([RATINGS_HEADER, "1,1,nan,0"], ":2: rating nan"),
        ([RATINGS_HEADER, "1,1,4.0,0", "1,1,3.0,0"], "twice"),
        ([RATINGS_HEADER, "1,1,4.0,0"], "ratings, must be at least 10"),
    ],
)
def test_bad_ratings_are_named(
    lines: list[str],
    reason: str,
    tmp_path: Path,
    few_movies: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train.main(write_data(tmp_path, lines, few_movies)) == 1
    assert re.search(rf"ratings\.csv\.gz.*{reason}", capsys.readouterr().err)
    assert not (tmp_path / "model.npz").exists()


def test_bad_movies_are_named(
    tmp_path: Path, few_ratings: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    movies = [MOVIES_HEADER, "1,Movie,in 2001,Drama"]
    assert train.main(write_data(tmp_path, few_ratings, movies)) == 1
    assert re.search(r"movies\.csv\.gz:2: .*'in 2001'", capsys.readouterr().err)


@pytest.mark.parametrize("damage", ["missing", "not gzip", "truncated", "not UTF-8"])
def test_a_damaged_file_is_named(
    damage: str,
    tmp_path: Path,
    few_ratings: list[str],
    few_movies: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = write_data(tmp_path, few_ratings, few_movies)
    path = tmp_path / "ratings.csv.gz"
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        contents = {
            "not gzip": b"userId",
            "truncated": whole[: len(whole) // 2],
            "not UTF-8": gzip.compress(b"\xff\xfe"),
        }
        path.write_bytes(contents[damage])
    assert train.main(arguments) == 1
    assert "ratings.csv.gz" in capsys.readouterr().err
