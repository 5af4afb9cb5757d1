package source

import (
	"cmp"
	"net/url"
	"strings"
	"testing"

	"cache-extension/extension/internal/config"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
)

// regions are those of every partition, and some that do not exist yet.
var regions = strings.Fields(`
	af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2
	ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2
	eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1
	us-east-1 us-east-2 us-west-1 us-west-2 cn-north-1 cn-northwest-1 us-gov-east-1 us-gov-west-1 us-iso-east-1 us-iso-west-1
	us-isob-east-1 us-isob-west-1 us-isof-east-1 us-isof-south-1 eu-isoe-west-1 eusc-de-east-1
	us-central-7 cn-south-9 us-gov-north-1 us-iso-north-2 us-isob-north-2 us-isof-north-2 eu-isoe-north-2 eusc-de-west-2 moon-base-1`)

// TestEndpointsOfTheSDK holds our endpoints to those of the SDK's clients.
func TestEndpointsOfTheSDK(t *testing.T) {
	disabled := "disabled"
	resolve := map[service]func(region string, conf config.AWS) (smithyendpoints.Endpoint, error){
		systemsManager: func(region string, c config.AWS) (smithyendpoints.Endpoint, error) {
			return ssm.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), ssm.EndpointParameters{
				Region: &region, UseFIPS: &c.FIPS, UseDualStack: &c.DualStack, Endpoint: orNil(c.EndpointSSM)})
		},
		secretsManager: func(region string, c config.AWS) (smithyendpoints.Endpoint, error) {
			return secretsmanager.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), secretsmanager.EndpointParameters{
				Region: &region, UseFIPS: &c.FIPS, UseDualStack: &c.DualStack, Endpoint: orNil(c.EndpointSecretsManager)})
		},
		dynamoDB: func(region string, c config.AWS) (smithyendpoints.Endpoint, error) {
			return dynamodb.NewDefaultEndpointResolverV2().ResolveEndpoint(t.Context(), dynamodb.EndpointParameters{
				Region: &region, UseFIPS: &c.FIPS, UseDualStack: &c.DualStack, Endpoint: orNil(c.EndpointDynamoDB),
				AccountIdEndpointMode: &disabled})
		},
	}
	for s, resolve := range resolve {
		for _, region := range regions {
			for _, own := range []string{"", "http://localhost:4566", "https://user@example.com:8443/a%20b/c"} {
				for flags := range 4 {
					conf := config.AWS{FIPS: flags&1 != 0, DualStack: flags&2 != 0,
						EndpointSSM: own, EndpointSecretsManager: own, EndpointDynamoDB: own}
					got, err := endpoint(s, region, conf)
					want, wantErr := resolve(region, conf)
					if (err == nil) != (wantErr == nil) {
						t.Errorf("endpoint(%s, %s, %+v) error = %v, want %v", s, region, conf, err, wantErr)
						continue
					}
					// The clients take the scheme, host and path, and the path / where there is none.
					wantURL := url.URL{Scheme: want.URI.Scheme, Host: want.URI.Host, Path: cmp.Or(want.URI.Path, "/")}
					if err == nil && got != wantURL.String() {
						t.Errorf("endpoint(%s, %s, %+v) = %s, want %s", s, region, conf, got, wantURL.String())
					}
				}
			}
		}
	}
}

func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func TestOwnEndpointThatIsNone(t *testing.T) {
	if got, err := endpoint(systemsManager, here, config.AWS{EndpointSSM: "http://hush:hush hush@x"}); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("endpoint = %q, %v, want an error that does not repeat it", got, err)
	}
}
