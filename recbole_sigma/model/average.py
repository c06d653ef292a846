"""The average of trained models: one score of each item from several models of the same items."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender
from torch import Tensor, nn

from recbole_sigma.errors import RequestError
from recbole_sigma.layers.packing import Packing
from recbole_sigma.precision import at_least_float32
from recbole_sigma.wording import listed

AVERAGES = ("logits", "probabilities")
MOST_VECTORS = 64
"""Most vectors of a user that an average of logits may have: the product of the numbers of its members."""
FIELDS = ("USER_ID", "ITEM_ID", "ITEM_SEQ", "ITEM_SEQ_LEN", "NEG_ITEM_ID", "POS_ITEM_ID", "TIME_SEQ")
"""Attributes of RecBole's models that name fields of an Interaction."""


def average_of(members: Sequence[nn.Module], average: str = "logits") -> AverageModel:
    """The average of models, in evaluation mode.

    Args:
        members: trained models of the same items and users, of RecBole or the plugin, on one device.
        average: "logits" for the mean of their scores, "probabilities" for the logarithm of the mean of their softmax
            over all items.

    Raises:
        RequestError: there is no such average.
    """
    if average not in AVERAGES:
        raise RequestError(f"average is {average!r}; expected one of {', '.join(AVERAGES)}")
    if average == "probabilities":
        return ProbabilityAverage(members)
    reasons = [reason for reason in map(_why_no_vectors, members) if reason is not None]
    if reasons:
        return LogitAverage(members, reasons[0])
    numbers = [_num_vectors(member) for member in members]
    if math.prod(numbers) > MOST_VECTORS:
        return LogitAverage(
            members,
            f"its members have {listed(map(str, numbers))} vectors of a user, which make {math.prod(numbers):,} "
            f"combinations; expected at most {MOST_VECTORS}",
        )
    return VectorAverage(members, ranks_whole_rows=sum(number > 1 for number in numbers) > 1)


class AverageModel(AbstractRecommender):
    """Several models that score together; a subclass says how.

    Each member reads the last items that it was trained to read, so that members may read histories of different
    lengths.

    Shapes: ``B`` rows, ``V`` items with index 0 as padding.

    Args:
        members: as for ``average_of``.
        no_vectors: why its scores are no products of vectors of users and items; None if they are.

    Attributes:
        members: the models.
        max_seq_length: the longest history that a member reads.
        reads_times, reads_users: whether a member reads them.
    """

    def __init__(self, members: Sequence[nn.Module], no_vectors: str | None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.no_vectors = no_vectors
        for name in FIELDS:
            known = [getattr(member, name) for member in members if hasattr(member, name)]
            if known:
                setattr(self, name, known[0])
        self.n_items = getattr(members[0], "n_items", None)  # models of contexts have none
        self.max_seq_length = max(getattr(member, "max_seq_length", 0) for member in members)
        self.reads_times = any(getattr(member, "reads_times", False) for member in members)
        self.reads_users = any(getattr(member, "reads_users", False) for member in members)
        self.eval()

    def _scores(self, interaction) -> list[Tensor]:
        """Scores ``[B, V]`` of each member."""
        rows = [rows_for(member, interaction) for member in self.members]
        return [member.full_sort_predict(own).reshape(len(interaction), -1) for member, own in zip(self.members, rows)]


class LogitAverage(AverageModel):
    """The score of an item is the mean of the members' scores."""

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores ``[B, V]``; column 0 is the padding."""
        return sum(self._scores(interaction)) / len(self.members)

    def predict(self, interaction) -> Tensor:
        """Scores ``[B]`` of the item of each row."""
        return sum(member.predict(rows_for(member, interaction)) for member in self.members) / len(self.members)


class VectorAverage(LogitAverage):
    """An average of logits whose scores are products of vectors, like those of its members.

    The mean of products is the product of vectors that are put one behind the other. Where members have several
    vectors of a user, the mean of their largest products is the largest product of any combination of them.

    Shapes: ``K`` user vectors, the product of the members' numbers; ``E`` their size, the sum of the members' sizes.

    Args:
        members: models with ``user_vectors`` and ``item_vectors``.
        ranks_whole_rows: whether the members' scores are fewer products than all combinations of their vectors.

    Attributes:
        item_vectors: ``[V, E]``.
    """

    def __init__(self, members: Sequence[nn.Module], ranks_whole_rows: bool = False) -> None:
        super().__init__(members, None)
        self.ranks_whole_rows = ranks_whole_rows
        with torch.no_grad():
            vectors = torch.cat([member.item_vectors for member in members], 1)
        self.register_buffer("item_vectors", vectors, persistent=False)

    def user_vectors(self, interaction) -> Tensor:
        """User vectors ``[B, K, E]`` of evaluation rows."""
        return self._combined([member.user_vectors(rows_for(member, interaction)) for member in self.members])

    def encode_users(self, items: Tensor, packing: Packing, **fields: Tensor) -> Tensor:
        """User vectors ``[B, K, E]`` after the last item of sequences ``[M]``.

        Raises:
            RequestError: members read histories of different lengths.
        """
        lengths = [member.max_seq_length for member in self.members]
        if len(set(lengths)) > 1:
            raise RequestError(
                f"its members read the last {listed(map(str, lengths))} items; expected members of one "
                "MAX_ITEM_LIST_LENGTH"
            )
        return self._combined(
            [
                member.encode_users(
                    items,
                    packing,
                    **{name: value for name, value in fields.items() if getattr(member, f"reads_{name}", False)},
                )
                for member in self.members
            ]
        )

    def read_fields(self, interaction) -> dict[str, Tensor]:
        """What the members read of RecBole's padded rows besides the items."""
        return {name: value for member in self.members for name, value in member.read_fields(interaction).items()}

    def _combined(self, parts: list[Tensor]) -> Tensor:
        """Every combination of the members' vectors ``[B, K_m, E_m]``, each divided by their number."""
        combined = parts[0]
        for part in parts[1:]:
            before = combined.unsqueeze(2).expand(-1, -1, part.shape[1], -1)
            behind = part.unsqueeze(1).expand(-1, combined.shape[1], -1, -1)
            combined = torch.cat([before, behind], -1).flatten(1, 2)
        return combined / len(parts)


class ProbabilityAverage(AverageModel):
    """The score of an item is the logarithm of the mean of its probabilities, in float32 or wider.

    The probabilities of a member are the softmax of its scores over all items without the padding.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__(members, "the logarithm of a mean of probabilities is no product of vectors")

    def full_sort_predict(self, interaction) -> Tensor:
        """Scores ``[B, V]``, the logarithms of probabilities; that of column 0, the padding, is -inf.

        Raises:
            RequestError: a member scores one item at a time.
        """
        try:
            scores = self._scores(interaction)
        except NotImplementedError as error:
            names = listed(dict.fromkeys(type(member).__name__ for member in self.members))
            raise RequestError(
                f"an average of probabilities needs the scores of all items at once, which {names} cannot give; "
                "expected average: logits"
            ) from error
        padding = torch.arange(scores[0].shape[1], device=scores[0].device) == 0
        logs = [at_least_float32(own).masked_fill(padding, -math.inf).log_softmax(1) for own in scores]
        return torch.stack(logs).logsumexp(0) - math.log(len(logs))

    def predict(self, interaction) -> Tensor:
        """Scores ``[B]`` of the item of each row."""
        return self.full_sort_predict(interaction).gather(1, interaction[self.ITEM_ID].unsqueeze(1)).squeeze(1)


def rows_for(member: nn.Module, interaction: Interaction) -> Interaction:
    """Evaluation rows with the last items of each history that a model reads; the interaction itself if that is all."""
    if not hasattr(member, "max_seq_length"):
        return interaction
    own, width = member.max_seq_length, interaction[member.ITEM_SEQ].shape[1]
    if width <= own:
        return interaction
    start = (interaction[member.ITEM_SEQ_LEN] - own).clamp(min=0).unsqueeze(1)
    place = start + torch.arange(own, device=start.device)
    return Interaction(
        {
            **interaction.interaction,
            **{
                name: value.gather(1, place)
                for name, value in interaction.interaction.items()
                if value.dim() == 2 and value.shape[1] == width
            },
            member.ITEM_SEQ_LEN: interaction[member.ITEM_SEQ_LEN].clamp(max=own),
        }
    )


def _why_no_vectors(member: nn.Module) -> str | None:
    """Why the scores of a member are no products of vectors; None if they are."""
    name, reason = type(member).__name__, getattr(member, "no_vectors", None)
    if not hasattr(member, "user_vectors"):
        return f"{name} has no vectors of users and items"
    return None if reason is None else f"a member is {name}, and {reason}"


@torch.no_grad()
def _num_vectors(member: nn.Module) -> int:
    """Number of vectors of a user, by those after a single item."""
    device = member.item_vectors.device
    one, none = torch.ones(1, dtype=torch.long, device=device), torch.zeros(1, dtype=torch.long, device=device)
    row = {member.ITEM_SEQ: one.unsqueeze(1), member.ITEM_SEQ_LEN: one, member.USER_ID: none}
    if getattr(member, "reads_times", False):
        row[member.TIME_SEQ] = none.unsqueeze(1).double()
    return member.user_vectors(Interaction(row)).shape[1]
