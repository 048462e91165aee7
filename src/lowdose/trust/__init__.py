"""How far a denoised image may be believed: maps, residual checks, evidence."""
