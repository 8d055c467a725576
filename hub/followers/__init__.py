"""Followers of the journal's durable end: the loop, acks, live, stores, mirrors, account, and the ledger."""

from hub.followers.account import AccountFollower
from hub.followers.acks import Acks
from hub.followers.base import Follower
from hub.followers.ledger import Ledger
from hub.followers.live import LiveFollower
from hub.followers.loop import Followers
from hub.followers.store import MirrorFollower, StoreFollower

__all__ = [
    "AccountFollower", "Acks", "Follower", "Followers", "Ledger", "LiveFollower", "MirrorFollower", "StoreFollower",
]  # fmt: skip
