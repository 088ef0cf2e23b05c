"""The audit: does the protection of any file, made by any tool, act beyond noise of its size?"""

from brittle.auditing.document import Audit, PhotoAudit
from brittle.auditing.request import PROMPTS, TRANSFORMS, Request
from brittle.auditing.run import Audited, audit, audit_alone

__all__ = [
    "PROMPTS",
    "TRANSFORMS",
    "Audit",
    "Audited",
    "PhotoAudit",
    "Request",
    "audit",
    "audit_alone",
]
