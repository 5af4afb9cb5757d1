output "layer_arn" {
  description = "ARN of the layer's version, for the function's layers."
  value       = aws_lambda_layer_version.extension.arn
  depends_on  = [aws_iam_role_policy.read] # who has the layer may read
}

output "environment" {
  description = "The function's environment variables, to merge with its own."
  value = {
    CACHE_EXTENSION_TTL          = var.ttl
    CACHE_EXTENSION_INIT_STARTUP = tostring(var.prefetch)
  }
}
