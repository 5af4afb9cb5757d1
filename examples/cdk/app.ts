import { App, CfnOutput, Duration, FileSystem, Stack, StackProps } from 'aws-cdk-lib/core';
import { Architecture, Code, Function, FunctionUrlAuthType, LayerVersion, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { StringParameter } from 'aws-cdk-lib/aws-ssm';
import { Construct } from 'constructs';
import { CacheExtension, CacheExtensionProps } from './cache-extension';

export interface ExampleProps extends StackProps, CacheExtensionProps {
  readonly architecture: Architecture;
}

/** A parameter and a secret, and two functions that read them through the cache. */
export class Example extends Stack {
  constructor(scope: Construct, id: string, props: ExampleProps) {
    super(scope, id, props);
    const { architecture } = props;
    const greeting = new StringParameter(this, 'Greeting', { stringValue: 'Hello' });
    const password = new Secret(this, 'Password');
    const cached = {
      config: 'config.yaml',
      environment: { GREETING_ARN: greeting.parameterArn, PASSWORD_ARN: password.secretArn },
    };
    const cache = new CacheExtension(this, 'CacheExtension', props);

    const goFunction = new Function(this, 'GoFunction', {
      code: goCode('go-function', architecture),
      runtime: Runtime.PROVIDED_AL2023,
      handler: 'bootstrap',
      architecture,
      timeout: Duration.seconds(10),
    });
    cache.attach(goFunction, cached);

    // This one has an extension of its own in JavaScript, beside ours.
    const nodeFunction = new Function(this, 'NodeFunction', {
      code: Code.fromAsset('node-function'),
      runtime: Runtime.NODEJS_24_X,
      handler: 'index.handler',
      architecture,
      timeout: Duration.seconds(10),
      layers: [new LayerVersion(this, 'InvocationCounter', { code: Code.fromAsset('js-extension') })],
    });
    cache.attach(nodeFunction, cached);
    const url = nodeFunction.addFunctionUrl({ authType: FunctionUrlAuthType.AWS_IAM });

    new CfnOutput(this, 'GoFunctionName', { value: goFunction.functionName });
    new CfnOutput(this, 'NodeFunctionUrl', { value: url.url });
  }
}

/** Builds a Go function for the runtime provided.al2023. */
function goCode(folder: string, architecture: Architecture): Code {
  const output = FileSystem.mkdtemp('go-function-');
  const command = ['go', 'build', '-trimpath', '-tags', 'lambda.norpc', '-ldflags', '-s -w', '-o', `${output}/bootstrap`, '.'];
  const GOARCH = architecture === Architecture.ARM_64 ? 'arm64' : 'amd64';
  return Code.fromCustomCommand(output, command, {
    commandOptions: { cwd: folder, env: { ...process.env, GOOS: 'linux', GOARCH, CGO_ENABLED: '0' } },
  });
}

if (require.main === module) {
  const app = new App();
  const architecture = app.node.tryGetContext('architecture') === 'x86_64' ? Architecture.X86_64 : Architecture.ARM_64;
  new Example(app, 'CacheExtensionExample', { architecture, checkout: '../..' });
}
