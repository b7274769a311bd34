"""Decides what a run tries next, and what becomes of a group that fails: pure state machines.

Hands out `Agenda` (order, retries), the policy of faults and the text of quarantine entries. It imports
neither Ray nor files or clocks, and no other room of pipelines.
"""
