import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { test } from 'node:test';
import { App, Stack } from 'aws-cdk-lib/core';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Table, AttributeType } from 'aws-cdk-lib/aws-dynamodb';
import { Architecture, Code, Function, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Example } from './app';
import { CacheExtension } from './cache-extension';

const checkout = '../..';

function newFunction(stack: Stack, id: string, architecture = Architecture.X86_64): Function {
  return new Function(stack, id, { code: Code.fromInline('//'), runtime: Runtime.NODEJS_24_X, handler: 'index.handler', architecture });
}

/** Writes a configuration into a file of its own. */
function configFile(text: string): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'config-'));
  writeFileSync(path.join(dir, 'cache.yaml'), text);
  return path.join(dir, 'cache.yaml');
}

test('both functions of the example get the layer, the file, the variables and the permissions', () => {
  const template = Template.fromStack(new Example(new App(), 'Example', { checkout, architecture: Architecture.ARM_64 }));
  const ref = (pattern: string) => ({ Ref: Match.stringLikeRegexp(pattern) });
  const greeting = {
    'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':ssm:', { Ref: 'AWS::Region' }, ':', { Ref: 'AWS::AccountId' }, ':parameter/', ref('^Greeting')]],
  };
  for (const { id, layers } of [
    { id: 'GoFunction', layers: ['^CacheExtensionLayerArm', '^GoFunctionCacheExtensionConfig'] },
    { id: 'NodeFunction', layers: ['^InvocationCounter', '^CacheExtensionLayerArm', '^NodeFunctionCacheExtensionConfig'] },
  ]) {
    template.hasResourceProperties('AWS::Lambda::Function', {
      Architectures: ['arm64'],
      Role: { 'Fn::GetAtt': [Match.stringLikeRegexp(`^${id}ServiceRole`), 'Arn'] },
      Layers: layers.map(ref),
      Environment: { Variables: { CACHE_EXTENSION_CONFIG: '/opt/config.yaml', GREETING_ARN: greeting, PASSWORD_ARN: ref('^Password') } },
    });
    template.hasResourceProperties('AWS::IAM::Policy', {
      Roles: [ref(`^${id}ServiceRole`)],
      PolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Action: ['ssm:GetParameter', 'ssm:GetParameters'], Resource: greeting },
          { Effect: 'Allow', Action: 'secretsmanager:GetSecretValue', Resource: ref('^Password') },
        ],
      },
    });
  }
  template.resourceCountIs('AWS::IAM::Policy', 2);
  template.hasResourceProperties('AWS::Lambda::Url', { AuthType: 'AWS_IAM' });
});

test('each processor has its layer, once', () => {
  const stack = new Stack();
  const cache = new CacheExtension(stack, 'CacheExtension', { checkout });
  const config = configFile('secrets: [{name: a}]');
  for (const [id, architecture] of Object.entries({ A: Architecture.ARM_64, B: Architecture.X86_64, C: Architecture.ARM_64 })) {
    cache.attach(newFunction(stack, id, architecture), { config });
  }
  const template = Template.fromStack(stack);
  for (const architecture of ['arm64', 'x86_64']) {
    template.resourcePropertiesCountIs('AWS::Lambda::LayerVersion', { CompatibleArchitectures: [architecture] }, 1);
  }
});

test('variables may hold names and ARNs, known or not, and plain settings', () => {
  const stack = new Stack(new App(), 'Stack', { env: { account: '123456789012', region: 'eu-west-1' } });
  const table = new Table(stack, 'Table', { partitionKey: { name: 'id', type: AttributeType.STRING } });
  new CacheExtension(stack, 'CacheExtension', { checkout }).attach(newFunction(stack, 'F'), {
    config: configFile(`
ttl: \${TTL}
dynamodb:
  - {table: "\${TABLE}", key: {id: a}}
  - {table: "\${TABLE_ARN}", key: {id: b}}
secrets:
  - {name: "\${SECRET_ARN}"}
  - {name: plain, region: us-east-1}
`),
    environment: {
      TTL: '1m',
      TABLE: table.tableName,
      TABLE_ARN: table.tableArn,
      SECRET_ARN: 'arn:aws:secretsmanager:eu-west-1:123456789012:secret:known-AbCdEf',
    },
  });
  const name = { Ref: stack.getLogicalId(table.node.defaultChild as any) };
  Template.fromStack(stack).hasResourceProperties('AWS::IAM::Policy', {
    PolicyDocument: {
      Statement: [
        {
          Action: ['dynamodb:BatchGetItem', 'dynamodb:GetItem'],
          Resource: [
            { 'Fn::GetAtt': [name.Ref, 'Arn'] },
            { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':dynamodb:eu-west-1:123456789012:table/', name]] },
          ],
        },
        {
          Action: 'secretsmanager:GetSecretValue',
          Resource: [
            { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':secretsmanager:us-east-1:123456789012:secret:plain-??????']] },
            'arn:aws:secretsmanager:eu-west-1:123456789012:secret:known-AbCdEf',
          ],
        },
      ],
    },
  });
});

test('faults of the configuration stop the synthesis', () => {
  const stack = new Stack();
  const cache = new CacheExtension(stack, 'CacheExtension', { checkout });
  process.env.ONLY_HERE = 'set where CDK runs, but not for the function';
  assert.throws(
    () => cache.attach(newFunction(stack, 'F'), { config: configFile('ttl: 60\nsecrets:\n  - name: ${ONLY_HERE}\n') }),
    ({ message }) => /cache\.yaml:1:.*"60" has no unit/.test(message) && /cache\.yaml:3:.*ONLY_HERE/.test(message),
  );
});

test('a reference that is no variable is not granted as it stands', () => {
  const stack = new Stack();
  const cache = new CacheExtension(stack, 'CacheExtension', { checkout });
  assert.throws(() => cache.attach(newFunction(stack, 'F'), { config: configFile('secrets:\n  - name: $${Other}\n') }), /\${Other}/);
});

test('without cachectl it says how to get it', () => {
  assert.throws(() => new CacheExtension(new Stack(), 'CacheExtension', { checkout: '/absent' }), {
    message: '/absent/bin/cachectl is not there: run "make build" in /absent',
  });
});
