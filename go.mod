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
	github.com/aws/aws-sdk-go-v2/config v1.33.14 // for cachectl alone
	github.com/aws/aws-sdk-go-v2/credentials v1.20.14 // for cachectl alone
	github.com/aws/aws-sdk-go-v2/feature/ec2/imds v1.20.6 // for cachectl alone
	github.com/hashicorp/golang-lru/v2 v2.0.7
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // for tests alone
	github.com/spf13/cobra v1.10.2 // for cachectl alone
	github.com/spf13/pflag v1.0.9 // for cachectl alone
	github.com/valkey-io/valkey-go v1.0.79 // for the program with the shared tier alone
)

require (
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.5.9 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.8.9 // indirect
	github.com/aws/aws-sdk-go-v2/internal/v4a v1.5.9 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/accept-encoding v1.13.24 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/endpoint-discovery v1.13.9 // indirect
	github.com/aws/aws-sdk-go-v2/service/internal/presigned-url v1.14.9 // indirect
	github.com/aws/aws-sdk-go-v2/service/signin v1.12.2 // indirect
	github.com/aws/aws-sdk-go-v2/service/sso v1.39.2 // indirect
	github.com/aws/aws-sdk-go-v2/service/ssooidc v1.44.2 // indirect
	github.com/aws/aws-sdk-go-v2/service/sts v1.51.7 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	golang.org/x/tools v0.48.0 // indirect
)
