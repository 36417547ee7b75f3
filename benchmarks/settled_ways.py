"""The ways to weights of pieces that ``benchmarks/settled.py`` races, and shap's for its error.

Each way has ``draws(seed, count)``, of which fewer are the first of more; ``scores(draws)``, kept
for the next time; ``fit(draws, scores)``, the package's own regression; and ``run(seed, count)``, a
call of the package itself, which gives the same weights.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from typing import Any

import numpy as np
import torch
from torch import Tensor

from earwitness.benchmark.speed.packages import _on_features
from earwitness.models.adapters.spectral import SpectralModel
from earwitness.perturbation.estimators.designs import fair_draws
from earwitness.perturbation.estimators.game import Game
from earwitness.perturbation.estimators.lime import fit_pairs
from earwitness.perturbation.perturb import perturb
from earwitness.perturbation.pieces.registry import Sizes, cut
from earwitness.probe import Probe

Net = Callable[[Tensor], Tensor]
SIZES = Sizes(segments=10, bands=8)


class Ours:
    """``lime`` of this library."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._game = Game([probe], cut(probe, "grid", SIZES))
        self.players = self._game.players

    def draws(self, seed: int, count: int) -> Tensor:
        return fair_draws(self.players, count, torch.Generator().manual_seed(seed))

    def scores(self, draws: Tensor) -> Tensor:
        return self._game.scores(draws)

    def fit(self, draws: Tensor, scores: Tensor) -> Tensor:
        return fit_pairs(draws, scores, 0.25, 1.0)[0]

    def run(self, seed: int, count: int) -> Callable[[], Tensor]:
        """Return a call of the library that gives the weights of the live pieces."""
        one = self._probe
        probe = Probe(one.model, one.wave, one.target, seed=seed)

        def work() -> Tensor:
            found = perturb(probe, segments=10, bands=8, samples=count, tolerance=0.0)
            table = found.played.table
            return torch.tensor([piece.weight for piece in table], dtype=torch.float64)

        return lambda: work()[self._game.live]


class Masked:
    """Pieces of the features, switched by fair coins, as the other packages do it.

    Both get the draws that lime's own generator makes, the first of them with every piece on.
    """

    def __init__(self, model: SpectralModel, probe: Probe, network: Net, batch: int) -> None:
        labels = _labels(probe)
        with torch.no_grad():
            self.features = model.frontend(probe.magnitude[None]).to(model.dtype)
        self.pieces = _on_features(model, self.features, labels)
        self.module, self.target, self.batch = model.module, probe.target.index, batch
        self.players, self._network = int(self.pieces.max()) + 1, network
        self._known: dict[bytes, float] = {}

    def draws(self, seed: int, count: int) -> Tensor:
        state = np.random.RandomState(seed)
        state.randint(0, 1000)  # lime's seed of a segmentation that is not used here
        found = state.randint(0, 2, count * self.players).reshape(count, self.players)
        found[0] = 1
        return torch.from_numpy(found > 0)

    def scores(self, draws: Tensor) -> Tensor:
        """Score draws by the faster of the network and its copy; what is known is not asked."""
        keys = [row.tobytes() for row in draws.numpy()]
        fresh = [k for k, key in enumerate(keys) if key not in self._known]
        for some in torch.tensor(fresh, dtype=torch.int64).split(16):
            with torch.no_grad():
                masks = draws[some].float()[:, self.pieces][:, None]
                found = self._network(masks * self.features)[:, self.target].tolist()
            self._known.update(zip([keys[k] for k in some.tolist()], found, strict=True))
        return torch.tensor([self._known[key] for key in keys], dtype=torch.float64)


class Captum:
    """Captum's ``Lime`` as it comes: lasso, and a kernel on the masked features."""

    def __init__(self, masked: Masked) -> None:
        self._on, self.players = masked, masked.players
        self.draws, self.scores = masked.draws, masked.scores
        square = masked.features[0, 0].double().square().flatten()
        energies = torch.zeros(self.players, dtype=torch.float64)
        self._energies = energies.index_add(0, masked.pieces.flatten(), square)

    def fit(self, draws: Tensor, scores: Tensor) -> Tensor:
        from captum._utils.models.linear_model import SkLearnLasso
        from torch.utils.data import DataLoader, TensorDataset

        cosine = (draws.double() @ self._energies / self._energies.sum()).sqrt()
        kernel = torch.exp(-((1 - cosine) ** 2) / 2)
        model = SkLearnLasso(alpha=0.01)
        data = TensorDataset(draws.float(), scores.float(), kernel.float())
        model.fit(DataLoader(data, batch_size=len(draws)))
        return model.representation().double().flatten()

    def run(self, seed: int, count: int) -> Callable[[], Tensor]:
        from captum.attr import Lime

        masked, rows = self._on, self.draws(seed, count).long()

        def draw(_: Tensor, **__: object) -> Iterator[Tensor]:
            yield from rows.split(1)

        def work() -> Tensor:
            found = Lime(masked.module, perturb_func=draw).attribute(
                masked.features, target=masked.target, n_samples=count,
                feature_mask=masked.pieces.expand_as(masked.features),
                perturbations_per_eval=masked.batch, return_input_shape=False,
            )  # fmt: skip
            return found.double().flatten()

        return work


class LimePackage:
    """lime's ``LimeImageExplainer`` as it comes: ridge, and a kernel on the switches."""

    def __init__(self, masked: Masked) -> None:
        self._on, self.players = masked, masked.players
        self.draws, self.scores = masked.draws, masked.scores

    def fit(self, draws: Tensor, scores: Tensor) -> Tensor:
        import sklearn.metrics
        from lime.lime_image import LimeImageExplainer

        rows, ones = draws.long().numpy(), np.ones((1, self.players))
        far = sklearn.metrics.pairwise_distances(rows, ones, metric="cosine").ravel()
        base = LimeImageExplainer(random_state=0).base
        found = base.explain_instance_with_data(
            rows, scores.numpy()[:, None], far, 0, 100_000, feature_selection="auto"
        )
        return self._weights(found[1])

    def run(self, seed: int, count: int) -> Callable[[], Tensor]:
        from lime.lime_image import LimeImageExplainer

        masked = self._on
        picture = np.stack([masked.features[0, 0].double().numpy()] * 3, axis=-1)

        def ask(images: Any) -> Any:
            inputs = torch.from_numpy(images[..., 0]).to(masked.features)[:, None]
            with torch.no_grad():
                return masked.module(inputs)[:, masked.target].numpy()[:, None]

        def work() -> Tensor:
            with redirect_stderr(io.StringIO()):
                found = LimeImageExplainer(random_state=seed).explain_instance(
                    picture, ask, top_labels=1, hide_color=0, num_samples=count,
                    batch_size=masked.batch, segmentation_fn=lambda _: masked.pieces.numpy(),
                )  # fmt: skip
            return self._weights(found.local_exp[0])

        return work

    def _weights(self, table: list[tuple[int, float]]) -> Tensor:
        weights = torch.zeros(self.players, dtype=torch.float64)
        for piece, weight in table:
            weights[int(piece)] = float(weight)
        return weights


Way = Ours | Captum | LimePackage


def _labels(probe: Probe) -> Tensor:
    """Return the number of the piece (freq, frame) that most of a cell belongs to."""
    pieces = cut(probe, "grid", SIZES)
    return pieces.mix(torch.eye(len(pieces))).argmax(dim=0)


def miss(weights: Tensor, wanted: Tensor) -> float:
    return float((weights - wanted).norm() / wanted.norm())


def shap_error(masked: Masked, few: int, many: int, seed: int) -> float:
    """Return how far shap's KernelExplainer is after few evaluations from its own values after
    many, drawn with another seed.
    """
    import shap

    def ask(rows: Any) -> Any:
        return masked.scores(torch.from_numpy(rows > 0.5)).numpy()

    def values(samples: int, seed: int) -> Tensor:
        explainer = shap.KernelExplainer(ask, np.zeros((1, masked.players)))
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        found = explainer.shap_values(
            np.ones((1, masked.players)), nsamples=samples, l1_reg=False, silent=True
        )
        np.random.set_state(state)  # noqa: NPY002
        return torch.from_numpy(np.asarray(found)[0]).double()

    return miss(values(few, 0), values(many, seed))
