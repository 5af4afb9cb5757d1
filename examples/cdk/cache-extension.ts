import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as path from 'node:path';
import { FileSystem, IgnoreMode, Stack, Token } from 'aws-cdk-lib/core';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function, LayerVersion } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { parse } from 'yaml';

export interface CacheExtensionProps {
  /** Folder of a checkout of cache-extension in which `make build` has run. The layer is built there, too. */
  readonly checkout: string;
}

export interface AttachOptions {
  /** Path of the file that says what is cached; it comes to the function in a layer of its own. */
  readonly config: string;
  /**
   * The variables that the file uses, such as `{ TABLE: table.tableName }` for `table: ${TABLE}`. The function gets them, too.
   * A variable that holds a whole ARN has a name that ends in ARN. Give secrets and parameters by ARN: for CDK, a secret has no
   * other name, and whether a parameter's begins with a slash is not known before it is deployed.
   */
  readonly environment?: Record<string, string>;
}

/** The Lambda layer with the cache extension, for the functions of a stack. */
export class CacheExtension extends Construct {
  private readonly checkout: string;
  private readonly cachectl: string;

  constructor(scope: Construct, id: string, props: CacheExtensionProps) {
    super(scope, id);
    this.checkout = path.resolve(props.checkout);
    this.cachectl = path.join(this.checkout, 'bin', 'cachectl');
    if (!existsSync(this.cachectl)) {
      throw new Error(`${this.cachectl} is not there: run "make build" in ${this.checkout}`);
    }
  }

  /**
   * Gives a function the extension and its configuration, and its role the permission to read what that declares and nothing
   * else. It throws when the file is at fault.
   */
  attach(fn: Function, options: AttachOptions): void {
    const file = path.basename(options.config);
    const config = new LayerVersion(fn, 'CacheExtensionConfig', {
      description: `${file} of the cache extension`,
      code: Code.fromAsset(path.dirname(options.config), { ignoreMode: IgnoreMode.GIT, exclude: ['*', `!/${file}`] }),
    });
    fn.addLayers(this.layer(fn.architecture), config);
    fn.addEnvironment('CACHE_EXTENSION_CONFIG', `/opt/${file}`);
    for (const [name, value] of Object.entries(options.environment ?? {})) {
      fn.addEnvironment(name, value);
    }
    this.policy(Stack.of(fn), options).forEach((statement) => fn.addToRolePolicy(statement));
  }

  /** The layer for a processor, built when the first function wants it. */
  private layer(architecture: Architecture): LayerVersion {
    const id = architecture.name === Architecture.ARM_64.name ? 'LayerArm' : 'LayerX86';
    const layer = this.node.tryFindChild(id) as LayerVersion | undefined;
    if (layer) return layer;
    const output = FileSystem.mkdtemp('cache-extension-');
    return new LayerVersion(this, id, {
      description: 'Caches DynamoDB items, parameters and secrets and serves them on localhost',
      code: Code.fromCustomCommand(output, ['make', '-C', this.checkout, `build-CacheExtension${id}`, `ARTIFACTS_DIR=${output}`]),
      compatibleArchitectures: [architecture],
      license: 'Apache-2.0',
    });
  }

  /** What `cachectl policy` prints for the file. */
  private policy(stack: Stack, { config, environment = {} }: AttachOptions): PolicyStatement[] {
    // What is known only when the stack is deployed goes through cachectl as a reference, ${V0} or, for an ARN, ${V0.Arn}.
    const values: Record<string, string> = {
      'AWS::Partition': stack.partition,
      'AWS::Region': stack.region,
      'AWS::AccountId': stack.account,
    };
    const env = Object.fromEntries(Object.entries(environment).map(([name, value], i) => {
      if (!Token.isUnresolved(value)) return [name, value];
      const reference = name.endsWith('ARN') ? `V${i}.Arn` : `V${i}`;
      values[reference] = value;
      return [name, `\${${reference}}`];
    }));
    const printed = run(this.cachectl, ['policy', '--sam', config], env);
    const resolve = (text: string) => text
      .replace(/\${([A-Za-z0-9:.]+)}/g, (_, reference) => {
        if (!(reference in values)) throw new Error(`${config}: \${${reference}} is not a variable that attach was given`);
        return values[reference];
      });
    const { Policies: [policy] } = parse(printed, { customTags: [{ tag: '!Sub', resolve }] });
    return policy.Statement.map((statement: object) => PolicyStatement.fromJson(statement));
  }
}

/** What a program prints; when it fails, the error is what it said. It has no other environment than env. */
function run(program: string, args: string[], env: Record<string, string>): string {
  try {
    return execFileSync(program, args, { env, encoding: 'utf8', stdio: 'pipe' });
  } catch (err) {
    const said = (err as { stderr?: string }).stderr;
    throw said ? new Error(said.trimEnd(), { cause: err }) : err;
  }
}
