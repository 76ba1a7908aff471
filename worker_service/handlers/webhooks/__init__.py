"""Job type `webhook-delivery`: sends one webhook, as the Standard Webhooks specification says."""

from worker_service.handlers.webhooks.delivery import webhook_handler

__all__ = ["webhook_handler"]
