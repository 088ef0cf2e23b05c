"""The library's front door: all that the command line does, on tensors and on files.

`pictures` works on tensors, `files` from photos to files and `batches` of them, `trials` on trials
and their folders, `benches` on protections for the leaderboard, `answers` on all else that one may
ask. `brittle` itself has all of their names.
"""

from brittle.api.answers import audit, calibrate, mimic, visibility
from brittle.api.batches import Batch, Destination
from brittle.api.benches import bench, bench_cost, bench_photos, leaderboard, verify
from brittle.api.elsewhere import placebo_files, prepare_edits
from brittle.api.exports import export
from brittle.api.files import edit_files, protect_files, transform_files, visibility_files
from brittle.api.pictures import edit, protect, transform
from brittle.api.reports import Report
from brittle.api.trials import check, compare, demo, dry_run, report, run_trial, score
from brittle.catalogue import describe, fetch_models
from brittle.component import load_plugin
from brittle.declaration.trial import Trial, load_trial
from brittle.models import EditModel, load_model
from brittle.trial.on_ray import Cluster

__all__ = [
    "Batch",
    "Cluster",
    "Destination",
    "EditModel",
    "Report",
    "Trial",
    "audit",
    "bench",
    "bench_cost",
    "bench_photos",
    "calibrate",
    "check",
    "compare",
    "demo",
    "describe",
    "dry_run",
    "edit",
    "edit_files",
    "export",
    "fetch_models",
    "leaderboard",
    "load_model",
    "load_plugin",
    "load_trial",
    "mimic",
    "placebo_files",
    "prepare_edits",
    "protect",
    "protect_files",
    "report",
    "run_trial",
    "score",
    "transform",
    "transform_files",
    "verify",
    "visibility",
    "visibility_files",
]
