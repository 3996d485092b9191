"""Several processes that compute a step in parts talk of its gradients once."""

from dataclasses import replace

import torch
from several import together
from tiny_training import HOW, TinyNet, batches, take_steps

from resdet.engine import distributed
from resdet.engine.train import set_training


def test_gradients_are_averaged_after_the_last_part(tmp_path):
    how = replace(HOW, accumulate=4, batch_norm="frozen")

    def work(rank):
        me = distributed.start("cpu")
        model = TinyNet()
        model.second.requires_grad_(False)
        set_training(model, how)
        wrapped, asked = distributed.wrap(model, me), []

        def counted(state, bucket):
            asked.append(bucket.is_last())
            return (
                torch.distributed.all_reduce(bucket.buffer(), async_op=True)
                .get_future()
                .then(lambda done: done.value()[0] / 2)
            )

        wrapped.register_comm_hook(None, counted)
        take_steps(wrapped, batches(0, 3), how, rate=lambda epoch: 0.1)
        (tmp_path / str(rank)).write_text(str(sum(asked)))

    together(2, work)
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["3", "3"]
