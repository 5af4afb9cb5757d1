# The layer with the extension, and what a function that uses it needs: the right to read, and variables.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

resource "aws_lambda_layer_version" "extension" {
  layer_name               = "${var.name}-${var.architecture}"
  description              = "Caches DynamoDB items, parameters and secrets and serves them on localhost."
  license_info             = "Apache-2.0; of what is linked in: cache-extension/LICENSES.txt"
  filename                 = var.zip
  source_code_hash         = filebase64sha256(var.zip)
  compatible_architectures = [var.architecture]
}

resource "aws_iam_role_policy" "read" {
  name   = "read-what-config-yaml-declares"
  role   = var.role
  policy = var.policy
}
