"""Blocks are compiled one by one, each once, before FSDP2 puts its hooks around them."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from pairbridge.training.data.ranks import Ranks
from pairbridge.training.engine import parallel
from pairbridge.training.engine.parallel import Layout, ParallelNetwork, whole
from pairbridge.training.networks.latent_unet import LatentUNetConfig


@pytest.fixture
def group() -> Iterator[None]:
    """Of this process alone."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def network() -> nn.Module:
    topology = {"widths": (8,), "transformer_layers": (1,), "middle_layers": 1, "heads": (1,)}
    torch.manual_seed(0)
    built = LatentUNetConfig(**topology, norm_groups=4, layers_per_block=1).build(
        in_channels=4, out_channels=4
    )
    # It starts at zero, through which no gradient goes.
    nn.init.normal_(built.conv_out.weight)
    return built


def gradients(of: nn.Module, steps: int) -> dict[str, Tensor]:
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        of(x, torch.tensor([3.0, 500.0]), None)[0].square().mean().backward()
    return {name: whole(weight.grad) for name, weight in of.named_parameters() if weight.grad is not None}


def test_each_block_is_compiled_once_and_before_it_is_sharded(group, monkeypatch) -> None:
    happened: list[tuple[str, nn.Module]] = []
    graphs = []
    compiled, shard = nn.Module.compile, parallel.fully_shard

    def graph_as_it_is(graph, inputs):
        graphs.append(graph)
        return graph

    def compiling(self) -> None:
        happened.append(("compiled", self))
        compiled(self, backend=graph_as_it_is)

    def sharding(part, **how):
        happened.append(("sharded", part))
        return shard(part, **how)

    monkeypatch.setattr(nn.Module, "compile", compiling)
    monkeypatch.setattr(parallel, "fully_shard", sharding)
    torch.compiler.reset()
    built = network()
    blocks = [part for part in built.modules() if isinstance(part, BasicTransformerBlock)]
    layout = Layout(kind="fsdp", cpu_offload=True, compile=True)
    ParallelNetwork(built, layout, Ranks(0, 1), torch.device("cpu"))
    assert [part for what, part in happened if what == "compiled"] == blocks
    assert len(blocks) >= 3
    order = [what for what, _ in happened]
    assert order == sorted(order)
    sharded = [part for what, part in happened if what == "sharded"]
    assert all(sharded.count(block) == 1 for block in blocks)
    assert not graphs

    found, expected = gradients(built, 2), gradients(network(), 2)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4)
    # One compilation serves all blocks of a width, and every step.
    assert len(graphs) == 1
