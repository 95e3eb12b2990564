"""The peer of the comparison: the paper's training in PyTorch, as a researcher would write it.

Files are decoded anew in every epoch by the workers of a DataLoader; the paper's transforms are
those of torchvision on PIL images (flip, rotation by the nearest pixel, brightness, contrast,
normalisation), written out because torchvision does not install everywhere; focal loss, AdamW,
OneCycle, gradient clipping and mixed precision are the paper's. Everything runs channels-last.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset

from bench.peer_network import EfficientNetV2, PaperNetwork
from bench.rounds import answer

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
ALPHA = torch.tensor([0.75, 0.25])
GAMMA = 2.0


class CellFiles(Dataset):
    """Image files and their classes, decoded and changed at random whenever asked for."""

    def __init__(self, files: list[tuple[str, int]], size: int) -> None:
        self._files, self._size = files, size

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return one image, float32 (3, size, size), and its class."""
        path, label = self._files[index]
        with Image.open(path) as file:
            image = file.convert("RGB").resize((self._size, self._size), Image.Resampling.BILINEAR)
        levels = np.asarray(_augmented(image), np.float32) / 255.0
        normal = ((levels - MEAN) / DEVIATION).astype(np.float32)
        return torch.from_numpy(normal.transpose(2, 0, 1).copy()), label


class Peer:
    """The training, a number of batches at a time."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # The files and the network are the same for every size of image.
        self._files = [(path, int(label)) for path, label in settings["files"]]
        backbone, channels, self.network = _backbone(settings["backbone"])
        self.model = PaperNetwork(backbone, channels)
        self.model.to(self._device, memory_format=torch.channels_last).train()
        self._optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=1e-5)
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer, max_lr=1e-3, total_steps=1_000_000
        )
        half = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}
        self._half = half.get(settings["precision"])
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._half is torch.float16)
        self._pace: dict[str, float] = {}

    def work(self, what: str, seconds: float) -> dict[str, Any]:
        """Train about so many seconds on whole images at ``settings["sizes"][what]``."""
        size, batch = self._settings["sizes"][what], self._settings["batch"]
        steps = max(2, round(seconds / self._pace[what])) if what in self._pace else 2
        images = min(steps * batch, len(self._files) // batch * batch)
        chosen = torch.randperm(len(self._files))[:images].tolist()
        loader = DataLoader(
            Subset(CellFiles(self._files, size), chosen), batch, shuffle=True,
            num_workers=self._settings["workers"], pin_memory=self._device.type == "cuda",
        )  # fmt: skip
        start = time.perf_counter()
        loss = sum(self._step(*some) for some in loader) / len(loader)
        spent = time.perf_counter() - start
        self._pace[what] = spent / len(loader)
        return {"images": images, "seconds": spent, "loss": loss}

    def _step(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        images = images.to(self._device, memory_format=torch.channels_last, non_blocking=True)
        labels = labels.to(self._device, non_blocking=True)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, self._half, enabled=self._half is not None):
            logits = self.model(images)
        loss = _focal(logits.float(), labels)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._schedule.step()
        return loss.item()


def _augmented(image: Image.Image) -> Image.Image:
    """Flip .5, rotation ±10 degrees, brightness and contrast ±.1: the paper's transforms."""
    draw = torch.rand(4).tolist()
    if draw[0] < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = image.rotate(20 * draw[1] - 10, Image.Resampling.NEAREST)
    image = ImageEnhance.Brightness(image).enhance(0.9 + 0.2 * draw[2])
    return ImageEnhance.Contrast(image).enhance(0.9 + 0.2 * draw[3])


def _focal(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    logs = functional.log_softmax(logits, 1).gather(1, labels[:, None])[:, 0]
    weights = ALPHA.to(logits.device)[labels]
    return (-weights * (1 - logs.exp()) ** GAMMA * logs).mean()


def _backbone(name: str) -> tuple[torch.nn.Module, int, str]:
    """Return timm's network, which the authors used, or the one of this folder without it."""
    variant = name.rpartition("-")[2]
    try:
        import timm
    except ImportError:
        own = EfficientNetV2(variant)
        return own, own.channels, "bench/peer_network.py (timm does not import here)"
    theirs = f"tf_efficientnetv2_{variant}"
    model = timm.create_model(theirs, num_classes=0, global_pool="", drop_path_rate=0.2)
    return model, model.num_features, f"timm {timm.__version__}, {theirs}"


def main() -> None:
    """Take part in a comparison."""
    settings = json.loads(sys.argv[1])
    torch.manual_seed(0)
    peer = Peer(settings)
    facts = {
        "network": peer.network,
        "parameters": sum(p.numel() for p in peer.model.parameters()),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processes": settings["workers"],
        "cores": os.cpu_count(),
    }
    answer(facts, peer.work)


if __name__ == "__main__":
    main()
