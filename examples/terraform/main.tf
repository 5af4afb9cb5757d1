# A function that reads a parameter from the cache extension.

terraform {
  required_version = ">= 1.5"
  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.4"
    }
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

variable "architecture" {
  description = "Processor of the function, and so of the layer: x86_64 or arm64."
  type        = string
  default     = "arm64"
}

module "cache_extension" {
  source = "./cache-extension"

  zip          = "${path.module}/../../bin/release/cache-extension-${trimspace(file("${path.module}/../../VERSION"))}-${var.architecture}.zip"
  architecture = var.architecture
  role         = aws_iam_role.function.name
  policy       = file("${path.module}/policy.json")
  prefetch     = true
}

resource "aws_lambda_function" "greeter" {
  function_name    = "cache-extension-greeter"
  description      = "Reads a greeting from the cache extension."
  filename         = data.archive_file.function.output_path
  source_code_hash = data.archive_file.function.output_base64sha256
  handler          = "index.handler"
  runtime          = "nodejs22.x"
  architectures    = [var.architecture]
  memory_size      = 128
  timeout          = 10
  role             = aws_iam_role.function.arn
  layers           = [module.cache_extension.layer_arn]

  environment {
    variables = module.cache_extension.environment
  }
}

# Lambda gives the function what lies beside its code as /var/task, and there the extension looks for config.yaml.
data "archive_file" "function" {
  type        = "zip"
  output_path = "${path.module}/function.zip"

  source {
    filename = "index.js"
    content  = file("${path.module}/index.js")
  }
  source {
    filename = "config.yaml"
    content  = file("${path.module}/config.yaml")
  }
}

resource "aws_iam_role" "function" {
  name_prefix = "cache-extension-greeter-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "logs" {
  name = "write-logs"
  role = aws_iam_role.function.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${aws_cloudwatch_log_group.function.arn}:*"
    }]
  })
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/cache-extension-greeter"
  retention_in_days = 14
}

resource "aws_ssm_parameter" "greeting" {
  name  = "/cache-extension/greeting"
  type  = "String"
  value = "Hello"
}

output "invoke" {
  description = "Command that invokes the function."
  value       = "aws lambda invoke --function-name ${aws_lambda_function.greeter.function_name} /dev/stdout"
}
