"""The market as pure values: calendar, schedules, sectors, what the API shows at an instant."""
