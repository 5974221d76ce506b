"""Notifications of events: to a web address, an MQTT broker, or a program."""
