"""What people do to the safeguards: changes by two admins, freezes, the broken glass, delegations.

As in `deeds`: the right, the domain call and the audit entry, in one transaction.
"""
