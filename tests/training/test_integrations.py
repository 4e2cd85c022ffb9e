"""Schedules as they are in a plain loop, in Hugging Face's Trainer and Accelerate, and in PyTorch
Lightning.
"""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from feasible.training import REX, UBA, GradNormLogger, HorizonWarning, LinearDecay, Refined

EXAMPLES, BATCH = 48, 8
pytestmark = pytest.mark.filterwarnings("ignore", "error::feasible.training.HorizonWarning")


def data():
    rng = torch.Generator().manual_seed(100)
    x = torch.randn(EXAMPLES, 4, generator=rng)
    return TensorDataset(x, (x[:, 0] > 0).long())


def net():
    torch.manual_seed(100)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))


def closed_form(make, steps, lr=0.1):
    return make(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr), steps).profile()[:steps]


# -- a plain loop ----------------------------------------------------------------------------------


def test_a_plain_loop_with_accumulation_clipping_and_norms():
    model, steps = net(), 12
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler, log = (
        LinearDecay(optimizer, steps, warmup_steps=2),
        GradNormLogger(model.parameters()),
    )
    batches = iter(
        DataLoader(data(), BATCH // 2, shuffle=True, generator=torch.Generator().manual_seed(1))
    )
    for _ in range(steps // 2):
        optimizer.zero_grad()
        for x, y in (next(batches), next(batches)):
            (nn.functional.cross_entropy(model(x), y) / 2).backward()
        log.record()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    assert (scheduler.last_epoch, len(log)) == (6, 6)
    again = Refined.from_log(log, torch.optim.AdamW(net().parameters(), lr=0.02), total_steps=steps)
    assert (len(again.profile()), again.profile().max()) == (steps, pytest.approx(0.02))


def test_a_gradient_scaler_may_skip_steps():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler, scaler = UBA(optimizer, 12), torch.amp.GradScaler("cpu", init_scale=2.0**120)
    for x, y in DataLoader(data(), BATCH):
        optimizer.zero_grad()
        scaler.scale(nn.functional.cross_entropy(model(x), y)).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
    assert scheduler.last_epoch == EXAMPLES // BATCH


# -- Hugging Face ----------------------------------------------------------------------------------


class Classifier(nn.Module):
    """What Trainer wants: a model that returns its loss."""

    def __init__(self):
        super().__init__()
        self.body = net()

    def forward(self, x, labels):
        logits = self.body(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


@pytest.mark.parametrize("make", [REX, UBA])
def test_hugging_face_trainer_takes_the_pair_and_resumes(make, tmp_path):
    transformers = pytest.importorskip("transformers")
    transformers.logging.set_verbosity_error()
    rows = [{"x": x, "labels": y} for x, y in data()]
    steps = 12

    class Rates(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, optimizer=None, **_):
            used.append(optimizer.param_groups[0]["lr"])

    def trainer():
        model = Classifier()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        arguments = transformers.TrainingArguments(
            str(tmp_path / "out"),
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            save_steps=5,
            seed=1,
            report_to=[],
            disable_tqdm=True,
            use_cpu=True,
            logging_strategy="no",
        )
        return transformers.Trainer(
            model,
            arguments,
            train_dataset=rows,
            optimizers=(optimizer, make(optimizer, steps)),
            callbacks=[Rates()],
        )

    used: list[float] = []
    whole = trainer()
    whole.train()
    assert used == list(closed_form(make, steps))
    weights, used = whole.model.state_dict(), []
    resumed = trainer()
    resumed.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-5"))
    assert used == list(closed_form(make, steps)[5:])
    assert all(torch.equal(resumed.model.state_dict()[k], v) for k, v in weights.items())


def test_accelerate_steps_it_with_accumulation():
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = REX(optimizer, EXAMPLES // BATCH // 2)
    model, wrapped, loader, stepped = accelerator.prepare(
        model, optimizer, DataLoader(data(), BATCH), scheduler
    )
    used = []
    for x, y in loader:
        with accelerator.accumulate(model):
            if accelerator.sync_gradients:
                used.append(wrapped.param_groups[0]["lr"])
            accelerator.backward(nn.functional.cross_entropy(model(x), y))
            wrapped.step()
            stepped.step()
            wrapped.zero_grad()
    assert used == list(closed_form(REX, 3))


def test_a_schedule_stepped_once_for_each_of_four_processes_is_noticed():
    optimizer = torch.optim.SGD(net().parameters(), lr=0.1)
    scheduler = REX(optimizer, 1000)

    def train():
        for _ in range(20):
            optimizer.step()
            for _ in range(4):  # as Accelerate does with step_scheduler_with_optimizer=True
                scheduler.step()

    with pytest.warns(HorizonWarning, match="the optimiser made"):
        train()


# -- PyTorch Lightning -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [REX, UBA])
def test_lightning_steps_it_by_batch_and_resumes_its_rates(make, tmp_path):
    lightning = pytest.importorskip("pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    steps = 12

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.body, self.used = net(), []

        def training_step(self, batch, _):
            self.used.append(self.optimizers().param_groups[0]["lr"])
            return nn.functional.cross_entropy(self.body(batch[0]), batch[1])

        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
            total = int(self.trainer.estimated_stepping_batches)
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": make(optimizer, total), "interval": "step"},
            }

    class Save(lightning.Callback):
        def on_train_epoch_end(self, trainer, module):
            if trainer.global_step == steps // 2:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    def fit(**more):
        module = Module()
        trainer = lightning.Trainer(
            max_steps=steps,
            limit_train_batches=6,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            callbacks=[Save()],
            default_root_dir=str(tmp_path),
        )
        trainer.fit(module, DataLoader(data(), BATCH), **more)
        return module

    whole = fit()
    assert whole.used == list(closed_form(make, steps))
    resumed = fit(ckpt_path=str(tmp_path / "half.ckpt"), weights_only=True)
    assert resumed.used == list(closed_form(make, steps)[6:])
