"""The command that looks for lesions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from scalemai.cli.arguments import ClassMap, HuOffset, Labels, Layout, Out, Series, Shard
from scalemai.cli.training_steps import needing_torch

__all__ = ["predict"]


def predict(
    detector: Annotated[Path, typer.Argument(help="Folder of a detector.")],
    cases: Annotated[
        Path, typer.Argument(help="Data set, case folder, CT file, DICOM folder or index.")
    ],
    out: Out,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="DETECTOR", help="Another detector to average with; repeatable."),
    ] = None,
    organs: Annotated[
        Path | None,
        typer.Option(help="Folder of organ masks: CASE/NAME.nii.gz or CASE.nii.gz."),
    ] = None,
    whole_scan: Annotated[
        bool, typer.Option("--whole-scan", help="Look beyond the organ's region too.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="Probability from which a voxel is part of a finding.")
    ] = 0.5,
    minimum_mm3: Annotated[float, typer.Option(help="Volume of the smallest finding.")] = 0.0,
    reach_mm: Annotated[
        float, typer.Option(help="How far beyond the organ's surface to look.")
    ] = 10.0,
    overlap: Annotated[float, typer.Option(help="Overlap of windows, 0 to below 1.")] = 0.25,
    flips: Annotated[
        bool, typer.Option("--flips", help="Average over mirror images: eight times the work.")
    ] = False,
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Write a DICOM SEG too; the CT must be DICOM.")
    ] = False,
    calibrated: Annotated[
        bool,
        typer.Option("--calibrated", help="Give findings the probabilities of scalemai calibrate."),
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, float16 or bfloat16.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the CPU; by default all.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Windows at once; by default 1, on a GPU 4.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes; one is usually best.")] = 1,
    shard: Shard = "0/1",
    labels: Labels = None,
    class_map: ClassMap = None,
    layout: Layout = None,
    series: Series = None,
    hu_offset: HuOffset = 0.0,
) -> None:
    """Look for lesions in CTs: probability maps, masks and findings, on the CTs' own grids."""
    from scalemai.cli.options import open_dataset, parse_shard, reading_of
    from scalemai.cli.report import follow, remark
    from scalemai.engine import shard as share
    from scalemai.inference.settings import Runtime, Settings

    with needing_torch("a detector"):
        from scalemai.inference.batch import Request, open_ledger, predict_cases
    part, parts = parse_shard(shard)
    request = Request(
        detectors=(detector, *(also or ())),
        settings=Settings(
            overlap=overlap,
            flips=flips,
            reach_mm=reach_mm,
            threshold=threshold,
            minimum_mm3=minimum_mm3,
            whole_scan=whole_scan,
        ),
        runtime=Runtime(device=device, precision=precision, threads=threads, batch=batch),  # type: ignore[arg-type]  # Runtime refuses other words
        organs=organs,
        dicom_seg=dicom_seg,
        calibrated=calibrated,
    )
    dataset = open_dataset(
        cases, layout=layout, labels=labels, class_map=class_map, series=series, hu_offset=hu_offset
    )
    remark(dataset.notes)
    chosen = share(list(dataset), part, parts, key=lambda case: case.id)
    reading = reading_of(labels, class_map, series, hu_offset)
    with open_ledger(out, request, shard=(part, parts), reading=reading) as ledger:
        run = predict_cases(chosen, out, request, ledger=ledger, workers=workers)
        raise typer.Exit(follow(run, "predicted"))
