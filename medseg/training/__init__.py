"""What surrounds a LightningModule while it trains: clock, schedules, checkpoints, averaging."""
