variable "zip" {
  description = "Layer zip for the architecture, as make release builds it."
  type        = string
}

variable "architecture" {
  description = "Processor of the function and of the zip: x86_64 or arm64."
  type        = string

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "Lambda has the architectures x86_64 and arm64."
  }
}

variable "role" {
  description = "Name of the function's role, which is allowed to read what config.yaml declares."
  type        = string
}

variable "policy" {
  description = "What cachectl policy prints for the function's config.yaml."
  type        = string

  validation {
    condition     = can(jsondecode(var.policy).Statement)
    error_message = "The policy must be JSON, as cachectl policy prints it without --sam."
  }
}

variable "name" {
  description = "Name of the layer, to which the architecture is added."
  type        = string
  default     = "cache-extension"
}

variable "ttl" {
  description = "How long a value is fresh, such as 5m; an entry's own ttl in config.yaml wins."
  type        = string
  default     = "5m"
}

variable "prefetch" {
  description = "Whether everything is fetched when an environment starts, rather than at the first read."
  type        = bool
  default     = false
}
