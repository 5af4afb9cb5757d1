module cache-extension

go 1.26

require (
	github.com/aws/aws-sdk-go-v2 v1.47.6
	github.com/aws/aws-sdk-go-v2/service/dynamodb v1.73.0 // for tests alone: the oracle of our own
	github.com/aws/aws-sdk-go-v2/service/secretsmanager v1.50.9 // for tests alone: the oracle of our own
	github.com/aws/aws-sdk-go-v2/service/ssm v1.81.3 // for tests alone: the oracle of our own
	github.com/aws/smithy-go v1.28.8
	github.com/patrickmn/go-cache v2.1.0+incompatible
	gopkg.in/yaml.v3 v3.0.1
)

require github.com/rogpeppe/go-internal v1.16.0 // testscript, for tests alone

require (
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.5.9 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.8.9 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding v1.13.24 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/endpoint-discovery v1.13.9 // indirect
	golang.org/x/sys v0.26.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
