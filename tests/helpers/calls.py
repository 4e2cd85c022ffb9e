"""One small valid call of each public function and class, for the fuzz test."""

from __future__ import annotations

import calls_bilevel
import calls_blackbox
import calls_language
import calls_networks
import calls_operations
import calls_physics
import calls_policies
import calls_programs
import calls_runs
import calls_sequences
import calls_tables
import calls_training
import calls_transport
import calls_walks
from calling import Calls

CALLS: Calls = {
    **calls_runs.CALLS,
    **calls_blackbox.CALLS,
    **calls_bilevel.CALLS,
    **calls_transport.CALLS,
    **calls_training.CALLS,
    **calls_programs.CALLS,
    **calls_sequences.CALLS,
    **calls_walks.CALLS,
    **calls_networks.CALLS,
    **calls_operations.CALLS,
    **calls_physics.CALLS,
    **calls_policies.CALLS,
    **calls_tables.CALLS,
    **calls_language.CALLS,
}
